"""An audit by partitions: each is read and judged by itself, by several processes at once."""
