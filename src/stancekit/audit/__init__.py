"""What is wrong with labelled data: leaks, copies, series, shortcuts, doubtful labels."""
