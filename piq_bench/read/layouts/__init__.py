"""One file per public data set, with its folders, the pattern of its file names, its rules and its sizes."""
