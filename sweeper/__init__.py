"""Choose learning rate, batch size and epochs for a BERT-style text classifier, and prove the choice."""
