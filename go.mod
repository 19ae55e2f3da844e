module github.com/gosysv/shm

go 1.24.0
