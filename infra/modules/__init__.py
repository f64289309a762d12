"""The modules of the service: one function each, which builds it on what all share. `registry` lists them."""
