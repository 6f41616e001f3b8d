"""What people do with a trained model: texts in bulk, calls, and one person's mood over months."""
