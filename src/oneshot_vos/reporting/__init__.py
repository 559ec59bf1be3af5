"""From scores to the tables and the summary that people read, beside the numbers printed in the paper."""
