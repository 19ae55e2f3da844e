// Package shm lets Go and C processes share System V shared memory, byte for
// byte: it binds the libc's shmget, shmat, shmdt, shmctl and ftok.
package shm
