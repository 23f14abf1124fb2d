def tide(hour):
    """How high the water stands."""
    return hour % 12
