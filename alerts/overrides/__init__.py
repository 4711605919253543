"""An owner lets one alert notify only, for an hour at most: named, with a reason, and in the audit trail."""
