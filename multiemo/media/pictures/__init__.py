"""Still pictures: formats, orientation, HEIF, animated files, downscaling."""
