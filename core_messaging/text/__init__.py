"""Makes texts from outside printable and short, and writes numbers in sentences."""
