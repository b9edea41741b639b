"""The runtime: a bundle answers questions, labels texts, tags tokens, fills masks and embeds, without torch."""
