"""Results of attempts, and the batches that write them."""
