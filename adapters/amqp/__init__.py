"""RabbitMQ: commands, queries and claims come in, events go out."""
