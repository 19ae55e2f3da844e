//go:build linux && cgo && !(386 || amd64 || arm || arm64 || loong64 || mips || mipsle || mips64 || mips64le || ppc64le || riscv64 || s390x)

package sem

// A port whose struct semid_ds has no mirror yet. To add one, write
// structs_FAMILY.go for it and take the port out of the line above.
type SemidDS = this_port_has_no_mirror_of_struct_semid_ds
