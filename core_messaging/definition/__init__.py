"""What a worker may be: its methods and their signatures, the type of its messages, names, and what JSON can say."""
