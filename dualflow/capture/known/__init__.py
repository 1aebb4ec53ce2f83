"""What functions and methods of Python and its library do, so that a recording may go on."""
