"""The search: which architecture under a budget has the highest compatibility-aware reward."""
