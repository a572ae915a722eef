"""Avro schemas in; decoders and encoders out."""
