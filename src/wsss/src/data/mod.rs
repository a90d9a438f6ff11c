//! Images, masks, labels: from VOC files to training crops.
