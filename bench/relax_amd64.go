//go:build linux && cgo

package main

// relax tells the CPU that this is a loop that waits, as the peer in C does.
// Go has no such function to offer.
//
//go:noescape
func relax()
