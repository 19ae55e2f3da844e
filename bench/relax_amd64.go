//go:build linux && cgo

package main

// relax tells the CPU that this is a loop that waits, as the peer in C does.
// Go has no such function to offer.
//
//go:noescape
func relax()

// fence keeps the CPU from loading what it has not been told of yet.
//
//go:noescape
func fence()
