"""Draws the synthetic benchmark from a seed.

Labels: random, people and sizes serve film, which says who is seen where; tables writes that as annotations. Images:
draw and canvas serve face, hair, pose, props, wardrobe, body and scene, from which portrait paints one frame. build,
scale and sheet write everything to disk.
"""
