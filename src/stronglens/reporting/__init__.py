"""What a person looks at after a run, and while it goes on: figures, tables, the state of things."""
