package token

// Erlang's external term format, the part of it that tokens are made of.
// https://www.erlang.org/doc/apps/erts/erl_ext_dist

// Atom is an Erlang atom other than true, false and nil.
type Atom string

// Tuple is an Erlang tuple.
type Tuple []any

const (
	etfVersion = 131

	tagNewFloat      = 70
	tagSmallInteger  = 97
	tagInteger       = 98
	tagAtom          = 100
	tagSmallTuple    = 104
	tagLargeTuple    = 105
	tagNil           = 106
	tagString        = 107
	tagList          = 108
	tagBinary        = 109
	tagSmallBig      = 110
	tagSmallAtom     = 115
	tagMap           = 116
	tagAtomUTF8      = 118
	tagSmallAtomUTF8 = 119
)

// maxDepth bounds how deep terms may be nested, on both sides.
const maxDepth = 32
