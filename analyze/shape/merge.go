package shape

// Merge adds what o knows to s. o is not changed and shares nothing with s
// afterwards. Within the limits the order of merges does not matter.
func (s *Set) Merge(o *Set) {
	if o == nil {
		return
	}
	s.messages += o.messages
	s.over += o.over
	s.folds += o.folds
	for i := range o.params {
		if o.params[i] != nil {
			s.merge(s.param(i), o.params[i], 0)
		}
	}
	for _, v := range o.variants {
		if root := s.root(v.side, v.status, []byte(v.ctype)); root != nil {
			s.merge(root, &v.root, 0)
		}
	}
}

// merge adds o to n. Its depth is bounded by that of fields.
func (s *Set) merge(n, o *node, depth int) {
	n.types |= o.types
	n.textual = n.textual || o.textual
	n.repeated = n.repeated || o.repeated
	n.present += o.present
	n.sure += o.sure
	n.objects += o.objects
	n.mergeStrings(o, s.opts.Values)
	if depth > s.opts.Depth {
		s.over++
		return
	}
	if o.folded && !n.folded {
		s.fold(n)
	}
	for _, k := range o.kids {
		if to := s.kid(n, []byte(k.name)); to != nil {
			s.merge(to, k, depth+1)
		}
	}
	if o.item != nil {
		if n.item == nil {
			if n.item = s.node(""); n.item != nil {
				n.item.fixed = n.fixed
			}
		}
		if n.item != nil {
			s.merge(n.item, o.item, depth+1)
		}
	}
	if o.wild != nil {
		if n.wild == nil {
			n.wild = s.node("")
		}
		if n.wild != nil {
			s.merge(n.wild, o.wild, depth+1)
		}
	}
}

func (n *node) mergeStrings(o *node, limit int) {
	switch {
	case !o.strings:
		return
	case !n.strings:
		n.strings, n.formats = true, o.formats
	default:
		n.formats &= o.formats
	}
	if n.open || o.open {
		n.shut()
		return
	}
	for _, v := range o.values.all() {
		text := o.values.text(v)
		switch to := n.values.find(text); {
		case to != nil:
			to.add(v.n)
		case n.values.len() >= limit:
			n.shut()
			return
		default:
			n.propose(text, v.n)
		}
	}
}
