"""An output in the making, in parts that no kill can lose."""
