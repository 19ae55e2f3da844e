//go:build linux

package layout_test

import (
	"testing"

	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/internal/ipcns"
)

func TestMain(m *testing.M) { ipcns.Main(m, cpeer.Remove) }
