"""A transport and a serializer for Millrace that need nothing but Python."""
