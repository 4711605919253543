"""The life of one operation: routed, judged by both engines, posted to both books, journalled once."""
