"""Runtime: a bundle answers questions, labels texts, tags tokens, fills masks and embeds texts, without torch."""
