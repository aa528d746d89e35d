"""Models that turn a text into one vector, or a query with a document into a score."""
