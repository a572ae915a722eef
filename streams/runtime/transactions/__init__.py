"""Records in; one transaction after another out."""
