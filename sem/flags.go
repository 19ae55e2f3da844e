//go:build linux && cgo

package sem

import (
	"fmt"
	"strings"
)

// OpFlag holds the flags of an [Op].
type OpFlag int16

// String gives the C names: IPC_NOWAIT|SEM_UNDO.
func (f OpFlag) String() string {
	var names []string
	if f&IPC_NOWAIT != 0 {
		names = append(names, "IPC_NOWAIT")
	}
	if f&SEM_UNDO != 0 {
		names = append(names, "SEM_UNDO")
	}
	if rest := uint16(f &^ (IPC_NOWAIT | SEM_UNDO)); rest != 0 || f == 0 {
		names = append(names, fmt.Sprintf("%#o", rest))
	}
	return strings.Join(names, "|")
}

// String gives the semaphore, the operation and the flags, if there are any:
// {0 -1 SEM_UNDO}.
func (op Op) String() string {
	if op.Flags == 0 {
		return fmt.Sprintf("{%d %+d}", op.Num, op.Op)
	}
	return fmt.Sprintf("{%d %+d %v}", op.Num, op.Op, op.Flags)
}
