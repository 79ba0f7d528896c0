"""`edgecmp init`: looks at a user's data and gallery, and writes descriptions to edit."""
