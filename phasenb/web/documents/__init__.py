"""Documents of the wire, generated from its models: what tools and clients in other languages read."""
