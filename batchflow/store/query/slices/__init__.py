"""Slice finding: what some runs share that the others don't.

A *slice* is a set of runs that an SQL predicate over one or two columns chooses. The terms and the
ideas are those of:

- Firas Abuzaid, Peter Bailis, Jialin Ding, Edward Gan, Samuel Madden, Deepak Narayanan, Kexin Rong
  and Sahaana Suri, "MacroBase: Prioritizing Attention in Fast Data" (2018): the risk ratio, a least
  support, and a search that begins with the few runs in question.
- Svetlana Sagadeeva and Matthias Boehm, "SliceLine: Fast, Linear-Algebra-based Slice Finding for
  ML Model Debugging" (2021): columns as small integers, counts as products of matrices, and slices
  that are left out because of an upper bound of their score.
- Wassily Hoeffding, "Probability Inequalities for Sums of Bounded Random Variables" (1963), and
  Václav Chvátal, "The tail of the hypergeometric distribution" (1979): the bound of the
  probability that a random selection lies in a slice that often.
- Ronald A. Fisher, "The Logic of Inductive Inference" (1935): the exact test of whether the runs
  that were sampled are in a slice by chance.
- Johannes Fürnkranz, "Separate-and-Conquer Rule Learning" (1999): the runs of a slice that was
  found are set aside before the next one is searched, so that no line repeats another.
- Morton L. Levin, "The occurrence of lung cancer in man" (1953): the attributable fraction.
"""
