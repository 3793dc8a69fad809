#!/bin/sh
# The seed layer on a dense adjacency: arrays made, the layer compiled and run by mpc, the result checked.
#
#     run.sh MPC DENSE LAYER.mp FOLDER
#
# A folder with A.npy is a dense graph: A[i][j] != 0 is an edge i -> j, and its value binds to the layer's only
# unbound edge number (adj). All other arrays bind by their names. The sizes 128 and 64 follow from them.
set -eu
mpc=$1 dense=$2 layer=$3 folder=$4

mkdir -p "$folder"
"$dense" make "$folder"
"$mpc" run "$layer" --graph "$folder" --out g="$folder/g.npy"
"$dense" check "$folder"
