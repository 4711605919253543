"""The kinds of credits that come with the product, by name."""

from credits_engine.engines.amounts import Kind

ANALYSIS, ROAST = Kind("analysis"), Kind("roast")
