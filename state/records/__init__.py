"""Values of the domain as Avro records, and back."""
