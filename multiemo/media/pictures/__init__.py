"""Pictures: formats, orientation, HEIF, animated files and downscaling."""
