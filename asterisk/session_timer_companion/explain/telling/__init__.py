"""From verdicts to what a person or a program reads: sentences, text, JSON, a page."""
