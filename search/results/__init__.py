"""What a search leaves behind: its history, result, pictures, and other rankings of it."""
