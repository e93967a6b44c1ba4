"""One report object and its views: Markdown, terminal, JSON; text from `templates/`."""
