"""Workers of ours against raw aiokafka, bare coroutines and every peer; ``make bench`` runs it."""
