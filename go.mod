module plainsight

go 1.26
