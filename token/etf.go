package token

// Erlang's external term format, the part of it that tokens are made of.
// https://www.erlang.org/doc/apps/erts/erl_ext_dist

// Atom is an Erlang atom other than true, false and nil.
type Atom string

// Tuple is an Erlang tuple, written with at most 255 terms.
type Tuple []any

// The byte that begins every encoded term, and the tags of the terms that tokens
// are made of. Old and new Erlang releases write atoms under different tags; all
// are read, and the UTF-8 one is written.
const (
	// etfVersion begins every encoded term; the tags begin each term within.
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

// maxDepth bounds how deep terms may be nested, in reading and in writing: the
// functions for both are recursive, and an attacker must not choose how deep.
const maxDepth = 32
