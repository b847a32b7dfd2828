"""Whether the data to be predicted are like those learnt from."""
