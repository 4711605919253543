"""Plans as people write, keep and change them: files, templates, versions, previews."""
