"""One module per pipeline stage: from parameters and paths to calls of the library, and outputs put in their place."""
